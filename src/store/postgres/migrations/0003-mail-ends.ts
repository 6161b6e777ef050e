// What time and failure make of messages: the sweep, dead letters, terms.

import { ORDERED_ONCE } from './lookups.ts';

/** Makes the functions that release, sweep, put dead letters back and purge. */
export const MAIL_ENDS = `
-- Gives back all that a reader holds, as if never delivered; answers from which inboxes.
CREATE FUNCTION batuta.release_mail(by text, given bigint) RETURNS SETOF text LANGUAGE plpgsql
${ORDERED_ONCE} AS $$
DECLARE
  moment bigint;
  boxes bigint[] := ARRAY(SELECT DISTINCT box FROM batuta.inbox WHERE reader = by AND visible_until IS NOT NULL);
  one batuta.inbox;
BEGIN
  PERFORM batuta.lock_boxes(boxes);
  moment := batuta.moment(given);
  FOR one IN SELECT * FROM batuta.inbox WHERE reader = by AND visible_until IS NOT NULL AND box = ANY (boxes) ORDER BY entry LOOP
    PERFORM batuta.put_back(one, one.attempt - 1, NULL, NULL, moment);
    RETURN NEXT (SELECT name FROM batuta.mail_box WHERE id = one.box);
  END LOOP;
END
$$;

CREATE FUNCTION batuta.sweep_mail(most integer, deliveries_max integer, given bigint, OUT moved integer, OUT ready json,
  OUT next_at bigint, OUT moment bigint) LANGUAGE plpgsql
${ORDERED_ONCE} AS $$
DECLARE
  boxes bigint[];
  woken bigint[] := '{}';
  counts integer[] := '{0,0,0,0}';
  one batuta.inbox;
  due bigint;
BEGIN
  moment := batuta.moment(given);
  boxes := ARRAY(
    (SELECT box FROM batuta.inbox WHERE visible_until IS NOT NULL AND visible_until <= moment ORDER BY visible_until LIMIT most)
    UNION ALL
    (SELECT box FROM batuta.inbox WHERE not_before IS NOT NULL AND not_before <= moment ORDER BY not_before LIMIT most)
    UNION ALL
    (SELECT box FROM batuta.inbox WHERE expires_at IS NOT NULL AND visible_until IS NULL AND expires_at <= moment
      ORDER BY expires_at LIMIT most)
    UNION ALL
    (SELECT box FROM batuta.inbox WHERE attempt > 0 AND visible_until IS NULL AND attempt >= deliveries_max
      ORDER BY attempt LIMIT most));
  PERFORM batuta.lock_boxes(boxes);
  FOR one IN SELECT * FROM batuta.inbox WHERE entry IN (SELECT entry FROM batuta.inbox WHERE visible_until IS NOT NULL
    AND visible_until <= moment AND box = ANY (boxes) ORDER BY visible_until LIMIT most) ORDER BY entry LOOP
    IF one.attempt >= deliveries_max THEN
      PERFORM batuta.let_die(one, 'max_deliveries', format('it was delivered %s times and never settled', one.attempt), moment);
    ELSE
      PERFORM batuta.put_back(one, one.attempt, NULL, one.reader, moment);
    END IF;
    counts[1] := counts[1] + 1;
    woken := woken || one.box;
  END LOOP;
  FOR due IN SELECT * FROM batuta.ripen(boxes, most, moment) LOOP
    counts[2] := counts[2] + 1;
    woken := woken || due;
  END LOOP;
  FOR one IN SELECT * FROM batuta.inbox WHERE expires_at IS NOT NULL AND visible_until IS NULL AND expires_at <= moment
    AND box = ANY (boxes) ORDER BY expires_at LIMIT most LOOP
    PERFORM batuta.let_die(one, 'expired', 'it was not taken in time', moment);
    counts[3] := counts[3] + 1;
  END LOOP;
  FOR one IN SELECT * FROM batuta.inbox WHERE attempt > 0 AND visible_until IS NULL AND attempt >= deliveries_max
    AND box = ANY (boxes) ORDER BY attempt LIMIT most LOOP
    PERFORM batuta.let_die(one, 'max_deliveries', format('it was delivered %s times and never settled', one.attempt), moment);
    counts[4] := counts[4] + 1;
  END LOOP;
  WITH told AS (DELETE FROM batuta.mail_due RETURNING box) SELECT woken || array_agg(box) INTO woken FROM told;
  ready := (SELECT coalesce(json_agg(json_build_object('tenant', b.tenant, 'inbox', b.name)), '[]') FROM batuta.mail_box b
    WHERE b.id = ANY (woken));
  moved := counts[1] + counts[2] + counts[3] + counts[4];
  next_at := CASE WHEN most = ANY (counts) THEN moment ELSE least(
    (SELECT visible_until FROM batuta.inbox WHERE visible_until IS NOT NULL ORDER BY visible_until LIMIT 1),
    (SELECT not_before FROM batuta.inbox WHERE not_before IS NOT NULL ORDER BY not_before LIMIT 1),
    (SELECT expires_at FROM batuta.inbox WHERE expires_at IS NOT NULL AND visible_until IS NULL ORDER BY expires_at LIMIT 1)) END;
END
$$;

-- Puts dead letters back into their inboxes, each once; an expiry that is past no longer counts, or they would die again at once.
CREATE FUNCTION batuta.replay_mail(of_tenant text, ids bigint[], given bigint, OUT id bigint, OUT inbox text)
RETURNS SETOF record LANGUAGE plpgsql
${ORDERED_ONCE} AS $$
DECLARE
  moment bigint;
  one record;
BEGIN
  PERFORM batuta.lock_boxes(ARRAY(SELECT b.id FROM batuta.dead_letter d JOIN batuta.mail_box b ON b.name = d.inbox
    AND b.tenant = d.tenant WHERE d.id = ANY (ids) AND d.tenant = of_tenant));
  moment := batuta.moment(given);
  FOREACH id IN ARRAY ids LOOP
    DELETE FROM batuta.dead_letter d WHERE d.id = replay_mail.id AND d.tenant = of_tenant AND d.mail IS NOT NULL
      AND d.inbox IS NOT NULL RETURNING d.* INTO one;
    CONTINUE WHEN NOT FOUND;
    PERFORM batuta.put_entry(b.id, one.lane, m.priority, one.mail, one.cause,
      CASE WHEN m.expires_at > moment THEN m.expires_at END, NULL, NULL, NULL, moment)
    FROM batuta.mail m, batuta.mail_box b WHERE m.position = one.mail AND b.name = one.inbox AND b.tenant = of_tenant;
    inbox := one.inbox;
    RETURN NEXT;
  END LOOP;
END
$$;

-- Deletes what is past its term, at most so many of each.
CREATE FUNCTION batuta.purge_mail(messages_ms bigint, dead_letters_ms bigint, names_ms bigint, after_at bigint, after_position bigint,
  most integer, given bigint, OUT deleted integer, OUT to_at bigint, OUT to_position bigint) LANGUAGE plpgsql
${ORDERED_ONCE} AS $$
DECLARE
  moment bigint := batuta.moment(given);
  gone bigint[];
  looked integer;
  further integer;
BEGIN
  DELETE FROM batuta.dead_letter WHERE id IN (
    SELECT id FROM batuta.dead_letter WHERE died_at < moment - dead_letters_ms ORDER BY died_at LIMIT most);
  GET DIAGNOSTICS deleted = ROW_COUNT;
  -- Those that somebody may still be given are passed over, and not looked at again before all others were.
  SELECT array_agg(p.position) FILTER (WHERE p.is_free), count(*), max(p.accepted_at),
    (array_agg(p.position ORDER BY p.accepted_at DESC, p.position DESC))[1]
  INTO gone, looked, to_at, to_position FROM (
    SELECT m.position, m.accepted_at, NOT EXISTS (SELECT FROM batuta.inbox i WHERE i.mail = m.position)
      AND NOT EXISTS (SELECT FROM batuta.dead_letter d WHERE d.mail = m.position) AS is_free
    FROM batuta.mail m WHERE m.accepted_at < moment - messages_ms AND m.accepted_at >= after_at
      AND (m.accepted_at > after_at OR m.position > after_position)
    ORDER BY m.accepted_at, m.position LIMIT most) p;
  IF looked < most THEN
    to_at := 0;
    to_position := 0;
  END IF;
  DELETE FROM batuta.mail WHERE position = ANY (gone);
  DELETE FROM batuta.mail_name WHERE mail = ANY (gone);
  DELETE FROM batuta.mail_copy WHERE mail = ANY (gone);
  deleted := deleted + coalesce(array_length(gone, 1), 0);
  DELETE FROM batuta.mail_name WHERE name IN (
    SELECT name FROM batuta.mail_name WHERE at < moment - names_ms ORDER BY at LIMIT most);
  GET DIAGNOSTICS further = ROW_COUNT;
  deleted := deleted + further;
  DELETE FROM batuta.mail_verdict WHERE (entry, attempt) IN (
    SELECT entry, attempt FROM batuta.mail_verdict WHERE at < moment - names_ms ORDER BY at LIMIT most);
  GET DIAGNOSTICS further = ROW_COUNT;
  deleted := deleted + further;
END
$$;
`;
