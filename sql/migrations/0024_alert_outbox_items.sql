-- Deliveries are listed by the alert that they tell of.

CREATE INDEX alert_outbox_items ON alert_outbox USING gin (items jsonb_path_ops);
