-- migrate:up
-- app.notify_platform_admins took its place.
drop function if exists app.tell_platform_admins(text, json);

-- migrate:down
