// The verbs of messages, each over one JSON parameter.

import { ORDERED_ONCE } from './lookups.ts';

/** Makes the functions that post, fan out, take and settle. */
export const MAIL_VERBS = `
-- How many entries an inbox has, counted no further than \`most\` of those that wait and of those that are held.
CREATE FUNCTION batuta.entries_in(of_box bigint, most integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT count(*) FROM (SELECT FROM batuta.inbox WHERE box = of_box AND visible_until IS NULL LIMIT most) w)
    + (SELECT count(*) FROM (SELECT FROM batuta.inbox WHERE box = of_box AND visible_until IS NOT NULL LIMIT most) h);
END
$$;

-- Of inboxes those that may be full after so many more entries: only there is counted before each.
CREATE FUNCTION batuta.tight_boxes(names json) RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN
  RETURN ARRAY(SELECT b.id FROM json_to_recordset(names) n(tenant text, name text, entries integer, "max" integer)
    JOIN batuta.mail_box b ON b.name = n.name AND b.tenant = n.tenant
    WHERE n.entries + batuta.entries_in(b.id, n."max") > n."max");
END
$$;

-- Keeps one message under its names and puts it into its inboxes, which are locked.
CREATE FUNCTION batuta.post_one(one json, tight bigint[], moment bigint, of_txn bigint, OUT status text, OUT mail bigint,
  OUT inbox text, OUT entries json) LANGUAGE plpgsql AS $$
DECLARE
  m record;
  n record;
  e record;
  known record;
  made jsonb := '[]';
BEGIN
  SELECT * INTO m FROM json_to_record(one) r(tenant text, id text, names json, dialect text, type text, sender text,
    correlation text, reply_to text, task_id text, priority integer, expires_at bigint, content text, addressed text,
    entries json, inbox_max integer, tells_of bigint);
  mail := nextval('batuta.mail_position');
  FOR n IN SELECT * FROM ROWS FROM (json_to_recordset(m.names) AS (name text, fingerprint text)) WITH ORDINALITY r(name, fingerprint, pos)
    ORDER BY pos LOOP
    INSERT INTO batuta.mail_name (name, fingerprint, mail, at) VALUES (n.name, n.fingerprint, post_one.mail, moment)
    ON CONFLICT DO NOTHING;
    CONTINUE WHEN FOUND;
    DELETE FROM batuta.mail_name k WHERE k.mail = post_one.mail;
    SELECT k.fingerprint, k.mail INTO known FROM batuta.mail_name k WHERE k.name = n.name;
    IF NOT FOUND THEN
      -- Whoever had the name has given it away meanwhile.
      SELECT p.* INTO status, mail, inbox, entries FROM batuta.post_one(one, tight, moment, of_txn) p;
      RETURN;
    END IF;
    status := CASE WHEN known.fingerprint = n.fingerprint THEN 'same' ELSE 'different' END;
    mail := known.mail;
    IF status = 'same' THEN UPDATE batuta.dead_letter SET told = true WHERE id = m.tells_of; END IF;
    RETURN;
  END LOOP;
  IF cardinality(tight) > 0 THEN
    FOR e IN SELECT r.inbox, b.id AS box FROM json_to_recordset(m.entries) r(inbox text)
      JOIN batuta.mail_box b ON b.name = r.inbox AND b.tenant = m.tenant WHERE b.id = ANY (tight) LOOP
      IF batuta.entries_in(e.box, m.inbox_max) >= m.inbox_max THEN
        DELETE FROM batuta.mail_name k WHERE k.mail = post_one.mail;
        status := 'full';
        mail := NULL;
        inbox := e.inbox;
        RETURN;
      END IF;
    END LOOP;
  END IF;
  INSERT INTO batuta.mail (position, txn, tenant, id, name, fingerprint, dialect, type, sender, correlation, reply_to, task_id,
    priority, expires_at, accepted_at, addressed, content)
  VALUES (mail, of_txn, m.tenant, m.id, m.names -> 0 ->> 'name', m.names -> 0 ->> 'fingerprint', m.dialect, m.type,
    m.sender, m.correlation, m.reply_to, m.task_id, m.priority, m.expires_at, moment, m.addressed, m.content);
  IF m.tells_of IS NOT NULL THEN UPDATE batuta.dead_letter SET told = true WHERE id = m.tells_of; END IF;
  FOR e IN SELECT r.*, b.id AS box FROM ROWS FROM (json_to_recordset(m.entries)
    AS (inbox text, lane text, cause text, held_by text, held_ms bigint, not_before bigint))
    WITH ORDINALITY r(inbox, lane, cause, held_by, held_ms, not_before, pos)
    JOIN batuta.mail_box b ON b.name = r.inbox AND b.tenant = m.tenant ORDER BY r.pos LOOP
    made := made || to_jsonb(batuta.put_entry(e.box, e.lane, m.priority, mail, e.cause, m.expires_at, e.not_before, e.held_by,
      e.held_ms, moment));
  END LOOP;
  status := 'stored';
  entries := made;
END
$$;

CREATE FUNCTION batuta.post_mail(boxes json, list json, given bigint, OUT status text, OUT mail bigint, OUT inbox text,
  OUT entries json, OUT txn bigint, OUT at bigint) RETURNS SETOF record LANGUAGE plpgsql
${ORDERED_ONCE} AS $$
DECLARE
  one json;
  tight bigint[];
BEGIN
  PERFORM batuta.enter_boxes(boxes);
  PERFORM batuta.lock_boxes(batuta.boxes_of(boxes));
  at := batuta.moment(given);
  txn := batuta.txn();
  tight := batuta.tight_boxes(boxes);
  FOR one IN SELECT value FROM json_array_elements(list) LOOP
    SELECT p.* INTO status, mail, inbox, entries FROM batuta.post_one(one, tight, at, txn) p;
    RETURN NEXT;
  END LOOP;
END
$$;

-- Puts messages kept before into further inboxes; null where such an entry is or was, or where there is no such message.
CREATE FUNCTION batuta.fan_out_mail(boxes json, copies json, given bigint) RETURNS SETOF bigint LANGUAGE plpgsql
${ORDERED_ONCE} AS $$
DECLARE
  moment bigint;
  one record;
  m record;
BEGIN
  PERFORM batuta.enter_boxes(boxes);
  PERFORM batuta.lock_boxes(batuta.boxes_of(boxes));
  moment := batuta.moment(given);
  FOR one IN SELECT * FROM json_to_recordset(copies) c(tenant text, mail bigint, inbox text, lane text, cause text, held_by text,
    held_ms bigint, not_before bigint) LOOP
    SELECT * INTO m FROM batuta.mail WHERE position = one.mail AND tenant = one.tenant;
    IF m.position IS NULL
      OR m.addressed::jsonb @> jsonb_build_array(jsonb_build_array(one.inbox, coalesce(one.cause, ''))) THEN
      RETURN NEXT NULL::bigint;
      CONTINUE;
    END IF;
    INSERT INTO batuta.mail_copy (mail, inbox, cause) VALUES (one.mail, one.inbox, coalesce(one.cause, '')) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      RETURN NEXT NULL::bigint;
      CONTINUE;
    END IF;
    RETURN NEXT batuta.put_entry((SELECT id FROM batuta.mail_box WHERE name = one.inbox AND tenant = one.tenant), one.lane,
      m.priority, m.position, one.cause, m.expires_at, one.not_before, one.held_by, one.held_ms, moment);
  END LOOP;
END
$$;

-- Entries for one pick of locked inboxes. What expired on the way dies; of that only so much is cleared away at once.
CREATE FUNCTION batuta.take_one(boxes bigint[], by text, most integer, visible_ms bigint, moment bigint) RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
DECLARE
  one batuta.inbox;
  taken integer := 0;
  expired integer := 0;
BEGIN
  WHILE taken < most AND expired < 256 LOOP
    SELECT (f.found).* INTO one FROM unnest(boxes) b, (VALUES (''), (by)) t(turn), LATERAL (
      SELECT i AS found, i.priority, i.entry FROM batuta.inbox i WHERE i.box = b AND i.turn = t.turn
      ORDER BY i.box, i.turn, i.priority, i.entry LIMIT 1) f ORDER BY f.priority, f.entry LIMIT 1;
    EXIT WHEN one.entry IS NULL;
    IF one.expires_at <= moment THEN
      PERFORM batuta.let_die(one, 'expired', 'it was not taken in time', moment);
      expired := expired + 1;
      CONTINUE;
    END IF;
    PERFORM batuta.hold_entry(one, by, moment + visible_ms, one.attempt + 1);
    taken := taken + 1;
    RETURN NEXT one.entry;
  END LOOP;
END
$$;

-- Only answers to a message, whatever stands before them.
CREATE FUNCTION batuta.take_answers(boxes bigint[], of_tenant text, to_message text, by text, most integer, visible_ms bigint,
  moment bigint) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
  one batuta.inbox;
BEGIN
  FOR one IN SELECT i.* FROM batuta.mail m JOIN batuta.inbox i ON i.mail = m.position
    WHERE m.reply_to = to_message AND m.tenant = of_tenant AND i.box = ANY (boxes) AND i.visible_until IS NULL
      AND i.not_before IS NULL AND (i.expires_at IS NULL OR i.expires_at > moment) ORDER BY i.entry LIMIT most LOOP
    PERFORM batuta.hold_entry(one, by, moment + visible_ms, one.attempt + 1);
    RETURN NEXT one.entry;
  END LOOP;
END
$$;

CREATE FUNCTION batuta.take_mail(names json, picks json, given bigint, OUT pos integer, OUT entry bigint) RETURNS SETOF record
LANGUAGE plpgsql
${ORDERED_ONCE} AS $$
DECLARE
  boxes bigint[] := batuta.boxes_of(names);
  mine bigint[];
  moment bigint;
  pick record;
BEGIN
  PERFORM batuta.lock_boxes(boxes);
  moment := batuta.moment(given);
  INSERT INTO batuta.mail_due (box) SELECT DISTINCT r FROM batuta.ripen(boxes, 256, moment) r ORDER BY 1 ON CONFLICT DO NOTHING;
  FOR pick IN SELECT * FROM json_to_recordset(picks) p(pos integer, tenant text, inboxes json, reader text, most integer,
    visible_ms bigint, reply_to text) ORDER BY p.pos LOOP
    pos := pick.pos;
    mine := ARRAY(SELECT b.id FROM json_array_elements_text(pick.inboxes) n
      JOIN batuta.mail_box b ON b.name = n AND b.tenant = pick.tenant);
    IF pick.reply_to IS NULL THEN
      FOR entry IN SELECT * FROM batuta.take_one(mine, pick.reader, pick.most, pick.visible_ms, moment) LOOP
        RETURN NEXT;
      END LOOP;
    ELSE
      FOR entry IN SELECT * FROM batuta.take_answers(mine, pick.tenant, pick.reply_to, pick.reader, pick.most, pick.visible_ms,
        moment) LOOP
        RETURN NEXT;
      END LOOP;
    END IF;
  END LOOP;
END
$$;

-- What one verdict comes to. \`freed\`: the inbox, where others may take something now.
CREATE FUNCTION batuta.settle_one(s json, moment bigint, OUT status text, OUT visible_until bigint, OUT freed text)
LANGUAGE plpgsql AS $$
DECLARE
  v record;
  one batuta.inbox;
  box batuta.mail_box;
  before batuta.mail_verdict;
  was_settled boolean := false;
  is_free boolean;
  whose text;
BEGIN
  SELECT * INTO v FROM json_to_record(s) r(tenant text, inboxes json, reader text, entry bigint, attempt integer, outcome text,
    ms bigint, reason text, error text, refusal text);
  status := 'lost';
  SELECT * INTO one FROM batuta.inbox i WHERE i.entry = v.entry AND i.attempt = v.attempt AND i.reader = v.reader
    AND i.attempt > 0;
  IF one.visible_until IS NULL THEN
    SELECT * INTO before FROM batuta.mail_verdict k WHERE k.entry = v.entry AND k.attempt = v.attempt;
    was_settled := FOUND;
  END IF;
  SELECT * INTO box FROM batuta.mail_box b WHERE b.id = CASE WHEN was_settled THEN before.box ELSE one.box END
    AND b.tenant = v.tenant
    AND (v.inboxes IS NULL OR b.name IN (SELECT json_array_elements_text(v.inboxes)));
  IF box.id IS NULL THEN RETURN; END IF;
  IF was_settled THEN
    IF before.outcome = v.outcome AND before.reader = v.reader THEN status := 'repeated'; END IF;
    RETURN;
  END IF;
  CASE v.outcome
    WHEN 'ack' THEN is_free := batuta.remove_entry(one);
    WHEN 'nack' THEN is_free := batuta.put_back(one, one.attempt, moment + v.ms, v.reader, moment);
    WHEN 'bury' THEN is_free := batuta.let_die(one, v.reason, v.error, moment);
    WHEN 'extend' THEN
      visible_until := moment + v.ms;
      IF one.visible_until IS NULL THEN
        -- It was held too long and put back, but to nobody else yet: it is this reader's again, if its lane is.
        whose := batuta.turn_of(one.box, one.lane);
        IF whose IS NULL OR whose NOT IN ('', v.reader) THEN
          visible_until := NULL;
          RETURN;
        END IF;
        PERFORM batuta.hold_entry(one, v.reader, visible_until, one.attempt);
      ELSE
        UPDATE batuta.inbox i SET visible_until = settle_one.visible_until WHERE i.entry = one.entry;
      END IF;
  END CASE;
  status := 'done';
  IF v.outcome <> 'extend' THEN
    INSERT INTO batuta.mail_verdict (entry, attempt, box, reader, outcome, at)
    VALUES (v.entry, v.attempt, one.box, v.reader, v.outcome, moment);
    IF is_free THEN freed := box.name; END IF;
  END IF;
  IF v.refusal IS NOT NULL THEN
    UPDATE batuta.mail SET refusal = v.refusal WHERE position = one.mail AND refusal IS NULL;
    DELETE FROM batuta.mail_name WHERE mail = one.mail;
  END IF;
END
$$;

CREATE FUNCTION batuta.settle_mail(boxes json, list json, given bigint, OUT status text, OUT visible_until bigint,
  OUT freed text, OUT posted json, OUT txn bigint, OUT at bigint) RETURNS SETOF record LANGUAGE plpgsql
${ORDERED_ONCE} AS $$
DECLARE
  s json;
  one json;
  tight bigint[];
BEGIN
  PERFORM batuta.enter_boxes(boxes);
  -- An entry never changes its inbox.
  PERFORM batuta.lock_boxes(batuta.boxes_of(boxes) || ARRAY(SELECT i.box
    FROM json_to_recordset(list) v(entry bigint) JOIN batuta.inbox i ON i.entry = v.entry));
  at := batuta.moment(given);
  txn := batuta.txn();
  tight := batuta.tight_boxes(boxes);
  FOR s IN SELECT value FROM json_array_elements(list) LOOP
    SELECT r.* INTO status, visible_until, freed FROM batuta.settle_one(s, at) r;
    posted := '[]';
    IF status = 'done' THEN
      FOR one IN SELECT value FROM json_array_elements(s -> 'mail') LOOP
        posted := posted::jsonb || (SELECT to_jsonb(p) FROM batuta.post_one(one, tight, at, txn) p);
      END LOOP;
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;
`;
