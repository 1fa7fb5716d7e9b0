alter table data.webhook_delivery enable row level security;
alter table data.webhook_delivery force row level security;

create policy owner_all on data.webhook_delivery to app_owner using (true) with check (true);
create policy own_select on data.webhook_delivery for select to customer, tenant_admin
  using (user_id = (select app.current_user_id()));
create policy platform_admin_select on data.webhook_delivery for select to platform_admin using (true);

grant select on data.webhook_delivery to customer, tenant_admin, platform_admin;

create or replace view api.webhook_delivery with (security_invoker = true) as
select d.id, d.endpoint_id, d.user_id, d.notification_id, d.event, d.payload, d.event_at, d.status, d.attempts, d.response_status, d.error,
  d.latency_ms, d.created_at, d.last_attempt_at
from data.webhook_delivery d;
grant select on api.webhook_delivery to customer, tenant_admin, platform_admin;
comment on view api.webhook_delivery is 'What was posted, or is to be posted, to webhook endpoints: one''s own; all for platform admins.';
comment on column api.webhook_delivery.id is 'The delivery''s id: the webhook-id of all its attempts.';
comment on column api.webhook_delivery.endpoint_id is 'Where it goes.';
comment on column api.webhook_delivery.user_id is 'Whose endpoint that is.';
comment on column api.webhook_delivery.notification_id is 'The notification. Null for a test delivery, and when the notification has been deleted.';
comment on column api.webhook_delivery.event is 'The event, such as account.overdue.';
comment on column api.webhook_delivery.payload is 'The facts of the event. Money as strings.';
comment on column api.webhook_delivery.event_at is 'When it happened.';
comment on column api.webhook_delivery.status is 'pending (also between attempts), delivered, failed (given up) or canceled (the endpoint was inactive).';
comment on column api.webhook_delivery.attempts is 'How many attempts have ended.';
comment on column api.webhook_delivery.response_status is 'HTTP status of the last answer. Null: there was none.';
comment on column api.webhook_delivery.error is 'What was wrong with the last attempt.';
comment on column api.webhook_delivery.latency_ms is 'How long the last attempt took, in milliseconds.';
comment on column api.webhook_delivery.created_at is 'When it was queued.';
comment on column api.webhook_delivery.last_attempt_at is 'When the last attempt ended.';
