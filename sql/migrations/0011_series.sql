-- When a disk or interface was last known to be reported: one of which no samples are left does not count against the limit
-- of its agent. Known ones are taken to have been reported just now.

ALTER TABLE disks              ADD COLUMN named_at int8 NOT NULL DEFAULT 0;
ALTER TABLE network_interfaces ADD COLUMN named_at int8 NOT NULL DEFAULT 0;
UPDATE disks              SET named_at = pika_now_ms();
UPDATE network_interfaces SET named_at = pika_now_ms();
ALTER TABLE disks              ALTER COLUMN named_at DROP DEFAULT;
ALTER TABLE network_interfaces ALTER COLUMN named_at DROP DEFAULT;
