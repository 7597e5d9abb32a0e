-- Rollups that are being made or made anew, and how far that has come, so that an interrupted start goes on.
CREATE TABLE rollup_builds (
    relation        text PRIMARY KEY,                            -- the rollup, by the name that it has in the end
    filled_until_ms int8,                                        -- buckets before this are in place; null: all are
    final_until_ms  int8,                                        -- what is copied before this does not change after the copy
    watermark_ms    int8                                         -- up to where the rollup that was replaced was complete
);
