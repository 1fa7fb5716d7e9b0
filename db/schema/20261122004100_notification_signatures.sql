-- migrate:up
-- Their signatures changed.
drop function if exists app.unlock_lost_jobs();
drop function if exists app.record_webhook_attempt(uuid, integer, text, integer, boolean, boolean);
drop function if exists app.queue_webhook(uuid, uuid);

-- migrate:down
drop function if exists app.unlock_lost_jobs(text);
drop function if exists app.record_webhook_attempt(uuid, integer, text, integer, boolean);
drop function if exists app.queue_webhook(uuid, uuid, integer);
