// The entries of inboxes and whose turn they are. Whoever changes an inbox holds its advisory lock to the end of the transaction, so
// each statement sees what the one before it left; all locks a transaction needs are taken at its beginning, in one order. How all
// this is planned the verbs say that call it: settings of its own would cost every call more than what it looks up.

/** Makes the functions that put entries into inboxes, give them to readers, and take them out. */
export const MAIL_LINES = `
CREATE FUNCTION batuta.lock_boxes(boxes bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(7004, shard)
  FROM (SELECT DISTINCT (b % 128)::integer AS shard FROM unnest(boxes) b ORDER BY 1) s;
END
$$;

-- Ids of inboxes by name, made where there were none, locked.
CREATE FUNCTION batuta.enter_boxes(names json) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO batuta.mail_box (tenant, name)
  SELECT n.tenant, n.name FROM json_to_recordset(names) n(tenant text, name text)
  WHERE NOT EXISTS (SELECT FROM batuta.mail_box b WHERE b.name = n.name AND b.tenant = n.tenant)
  ORDER BY n.tenant, n.name ON CONFLICT DO NOTHING;
END
$$;

CREATE FUNCTION batuta.boxes_of(names json) RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN
  RETURN ARRAY(SELECT b.id FROM json_to_recordset(names) n(tenant text, name text)
    JOIN batuta.mail_box b ON b.name = n.name AND b.tenant = n.tenant);
END
$$;

-- Whose turn it is in a lane: anybody's (''), one reader's, or nobody's (null) while several hold entries of it.
CREATE FUNCTION batuta.turn_of(of_box bigint, of_lane text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT CASE WHEN min(reader) IS NULL THEN '' WHEN min(reader) = max(reader) THEN min(reader) END
    FROM batuta.inbox WHERE box = of_box AND lane = of_lane AND visible_until IS NOT NULL);
END
$$;

-- Gives the turn of each line of a lane to its first that waits, once its time has come; called after each change of one entry.
-- True where anybody may take something of it.
CREATE FUNCTION batuta.arrange_lane(of_box bigint, of_lane text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  first record;
  at_priority integer := -1;
  whose text;
  want text;
  is_free boolean := false;
BEGIN
  LOOP
    SELECT i.entry, i.priority, i.not_before, i.turn INTO first FROM batuta.inbox i
    WHERE i.box = of_box AND i.lane = of_lane AND i.priority > at_priority AND i.visible_until IS NULL
    ORDER BY i.box, i.lane, i.priority, i.entry LIMIT 1;
    IF NOT FOUND THEN RETURN is_free; END IF;
    IF at_priority = -1 THEN whose := batuta.turn_of(of_box, of_lane); END IF;
    at_priority := first.priority;
    want := CASE WHEN first.not_before IS NULL THEN whose END;
    is_free := is_free OR coalesce(want = '', false);
    IF want IS DISTINCT FROM first.turn THEN UPDATE batuta.inbox i SET turn = want WHERE i.entry = first.entry; END IF;
  END LOOP;
END
$$;

-- Puts an entry at the end of its line; answers its number.
CREATE FUNCTION batuta.put_entry(of_box bigint, of_lane text, of_priority integer, of_mail bigint, why text, expiry bigint,
  earliest bigint, held_by text, held_ms bigint, moment bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  made bigint := nextval('batuta.inbox_entry');
  whose text;
BEGIN
  IF earliest <= moment OR held_by IS NOT NULL THEN earliest := NULL; END IF;
  IF held_by IS NULL AND earliest IS NULL AND NOT EXISTS (SELECT FROM batuta.inbox
    WHERE box = of_box AND lane = of_lane AND priority = of_priority AND visible_until IS NULL) THEN
    whose := batuta.turn_of(of_box, of_lane);
  END IF;
  INSERT INTO batuta.inbox (entry, box, lane, priority, mail, cause, attempt, since, not_before, expires_at, reader,
    visible_until, turn)
  VALUES (made, of_box, of_lane, of_priority, of_mail, why, CASE WHEN held_by IS NULL THEN 0 ELSE 1 END, moment, earliest,
    expiry, held_by, moment + held_ms, whose);
  IF held_by IS NOT NULL THEN PERFORM batuta.arrange_lane(of_box, of_lane); END IF;
  RETURN made;
END
$$;

CREATE FUNCTION batuta.hold_entry(one batuta.inbox, by text, until bigint, of_attempt integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE batuta.inbox SET attempt = of_attempt, reader = by, visible_until = until, not_before = NULL, turn = NULL
  WHERE entry = one.entry;
  PERFORM batuta.arrange_lane(one.box, one.lane);
END
$$;

-- Puts an entry back to its place in its line, whose first may stand behind it; answers as \`arrange_lane\`, as those below do.
CREATE FUNCTION batuta.put_back(one batuta.inbox, of_attempt integer, earliest bigint, by text, moment bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE batuta.inbox SET turn = NULL WHERE turn IS NOT NULL AND entry = (SELECT i.entry FROM batuta.inbox i
    WHERE i.box = one.box AND i.lane = one.lane AND i.priority = one.priority AND i.visible_until IS NULL
    ORDER BY i.box, i.lane, i.priority, i.entry LIMIT 1);
  UPDATE batuta.inbox SET attempt = of_attempt, reader = by, visible_until = NULL, turn = NULL,
    not_before = CASE WHEN earliest > moment THEN earliest END WHERE entry = one.entry;
  RETURN batuta.arrange_lane(one.box, one.lane);
END
$$;

CREATE FUNCTION batuta.remove_entry(one batuta.inbox) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM batuta.inbox WHERE entry = one.entry;
  RETURN batuta.arrange_lane(one.box, one.lane);
END
$$;

-- Makes an entry a dead letter.
CREATE FUNCTION batuta.let_die(one batuta.inbox, of_reason text, of_error text, moment bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO batuta.dead_letter (tenant, dialect, inbox, lane, cause, reason, error, mail, sender, attempts, died_at)
  SELECT m.tenant, m.dialect, b.name, one.lane, one.cause, of_reason, of_error, m.position, m.sender, one.attempt, moment
  FROM batuta.mail m, batuta.mail_box b WHERE m.position = one.mail AND b.id = one.box;
  RETURN batuta.remove_entry(one);
END
$$;

-- Lets those of locked inboxes whose time has come have their turn.
CREATE FUNCTION batuta.ripen(boxes bigint[], most integer, moment bigint) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
  one batuta.inbox;
BEGIN
  FOR one IN SELECT * FROM batuta.inbox WHERE not_before IS NOT NULL AND not_before <= moment AND box = ANY (boxes)
    ORDER BY not_before LIMIT most LOOP
    UPDATE batuta.inbox SET not_before = NULL WHERE entry = one.entry;
    PERFORM batuta.arrange_lane(one.box, one.lane);
    RETURN NEXT one.box;
  END LOOP;
END
$$;
`;
