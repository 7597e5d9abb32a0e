-- What machines are, as their agents report when they register: osName, kernel, cpuModel, cpuCount, memoryBytes, bootedAt
-- (milliseconds since the Unix epoch, by the server's clock), virtualization. What an agent cannot tell is not there.

ALTER TABLE agents ADD COLUMN facts jsonb NOT NULL DEFAULT '{}';
