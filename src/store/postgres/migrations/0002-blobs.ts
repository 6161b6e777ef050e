// The bytes of artifacts, for nodes that share nothing but the database: in chunks, each upload's apart until it is whole.

import { LOOKUPS } from './lookups.ts';

/** Creates the tables of blobs and the functions that store and remove them. */
export const BLOBS = `
-- Grows with everything that is stored, so that a removal knows what came after it began.
CREATE SEQUENCE batuta.blob_place;

CREATE TABLE batuta.blob (
  sha256 text COLLATE "C" PRIMARY KEY,
  upload text COLLATE "C" NOT NULL,
  size_bytes bigint NOT NULL,
  stored_at bigint NOT NULL,
  place bigint NOT NULL,
  -- Uploads whose owners write down at this moment who refers to the bytes; a dead one's word ends with its time.
  holders text[] NOT NULL,
  held_until bigint NOT NULL
);

CREATE TABLE batuta.blob_upload (
  id text COLLATE "C" PRIMARY KEY,
  touched_at bigint NOT NULL
);

CREATE TABLE batuta.blob_chunk (
  upload text COLLATE "C" NOT NULL,
  number integer NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (upload, number)
);
-- What is uploaded is mostly compressed already.
ALTER TABLE batuta.blob_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE FUNCTION batuta.put_blob_chunk(of_upload text, chunk integer, content bytea) RETURNS void LANGUAGE sql AS $$
  INSERT INTO batuta.blob_upload (id, touched_at) VALUES (of_upload, batuta.moment(NULL))
  ON CONFLICT (id) DO UPDATE SET touched_at = excluded.touched_at;
  INSERT INTO batuta.blob_chunk (upload, number, bytes) VALUES (of_upload, chunk, content) ON CONFLICT DO NOTHING;
$$;

-- Makes an upload the blob of its digest, or throws its chunks away where there is one; either way the upload holds the blob until it is
-- released. False where chunks are missing because the upload was given up for broken.
CREATE FUNCTION batuta.publish_blob(digest text, of_upload text, size bigint, chunks integer, hold_ms bigint)
RETURNS boolean LANGUAGE plpgsql
${LOOKUPS} AS $$
DECLARE
  moment bigint := batuta.moment(NULL);
  kept text;
BEGIN
  DELETE FROM batuta.blob_upload WHERE id = of_upload;
  IF (SELECT count(*) FROM batuta.blob_chunk WHERE upload = of_upload) <> chunks THEN
    -- Asked again because the answer was lost, it finds its chunks thrown away.
    RETURN EXISTS (SELECT FROM batuta.blob b WHERE b.sha256 = digest AND of_upload = ANY (b.holders));
  END IF;
  INSERT INTO batuta.blob AS b (sha256, upload, size_bytes, stored_at, place, holders, held_until)
  VALUES (digest, of_upload, size, moment, nextval('batuta.blob_place'), ARRAY[of_upload], moment + hold_ms)
  ON CONFLICT (sha256) DO UPDATE SET stored_at = excluded.stored_at, place = nextval('batuta.blob_place'),
    holders = array_append(CASE WHEN b.held_until > moment THEN array_remove(b.holders, of_upload) ELSE '{}' END, of_upload),
    held_until = excluded.held_until
  RETURNING b.upload INTO kept;
  IF kept <> of_upload THEN DELETE FROM batuta.blob_chunk WHERE upload = of_upload; END IF;
  RETURN true;
END
$$;

-- What the holder wrote down is newer than what any removal under way may have seen, hence the new place.
CREATE FUNCTION batuta.release_blob(digest text, of_upload text) RETURNS void LANGUAGE sql
${LOOKUPS} AS $$
  UPDATE batuta.blob SET holders = array_remove(holders, of_upload), place = nextval('batuta.blob_place') WHERE sha256 = digest
$$;

CREATE FUNCTION batuta.drop_upload(of_upload text) RETURNS void LANGUAGE sql
${LOOKUPS} AS $$
  DELETE FROM batuta.blob_upload WHERE id = of_upload;
  DELETE FROM batuta.blob_chunk WHERE upload = of_upload;
$$;

-- Removes blobs but those that were stored since a place or are held. All of it is asked of the blob's own row: only that is looked at
-- anew where somebody changed it meanwhile.
CREATE FUNCTION batuta.remove_blobs(digests text[], before bigint) RETURNS void LANGUAGE sql
${LOOKUPS} AS $$
  WITH gone AS (
    DELETE FROM batuta.blob b WHERE b.sha256 = ANY (digests) AND b.place < before
      AND (cardinality(b.holders) = 0 OR b.held_until <= batuta.moment(NULL))
    RETURNING b.upload
  ) DELETE FROM batuta.blob_chunk c USING gone WHERE c.upload = gone.upload
$$;

-- Clears what dead uploaders left: chunks of uploads that have not grown for so long, and whole blobs as old that no artifact names.
CREATE FUNCTION batuta.sweep_blobs(abandoned_ms bigint, most integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  moment bigint := batuta.moment(NULL);
  orphans text[];
BEGIN
  WITH old AS (
    DELETE FROM batuta.blob_upload WHERE id IN (SELECT id FROM batuta.blob_upload WHERE touched_at < moment - abandoned_ms
      LIMIT most FOR UPDATE SKIP LOCKED) RETURNING id
  ) DELETE FROM batuta.blob_chunk c USING old WHERE c.upload = old.id;
  orphans := ARRAY(SELECT b.sha256 FROM batuta.blob b WHERE b.stored_at < moment - abandoned_ms
    AND NOT EXISTS (SELECT FROM batuta.artifact a WHERE a.sha256 = b.sha256) LIMIT most);
  WITH gone AS (
    DELETE FROM batuta.blob b WHERE b.sha256 = ANY (orphans) AND b.stored_at < moment - abandoned_ms
      AND (cardinality(b.holders) = 0 OR b.held_until <= moment) RETURNING b.upload
  ) DELETE FROM batuta.blob_chunk c USING gone WHERE c.upload = gone.upload;
END
$$;
`;
