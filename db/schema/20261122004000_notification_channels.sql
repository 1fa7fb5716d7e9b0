-- migrate:up
-- Their signatures grew.
drop function if exists app.queue_job(text, json, text);
drop function if exists app.queue_notification(uuid, text, json);
drop function if exists app.create_password_token(uuid);

set local role app_owner;

alter table data.notification
  add column in_app boolean not null default true,
  add column emailed_at timestamptz;
comment on column data.notification.in_app is 'Whether its user wants to see it in the application; otherwise it is there for the other channels.';
comment on column data.notification.emailed_at is 'When the mail server took it. Null: not sent by e-mail.';

alter table data.user_profile add column language text check (language in ('en', 'zh'));
comment on column data.user_profile.language is 'Language of the mails to the user: en or zh. Null: the platform''s default.';

alter table data.virtual_key add column expiry_noticed timestamptz;
comment on column data.virtual_key.expiry_noticed is 'The expiry that its user has been told of.';

create table data.notification_preference (
  user_id uuid not null references data.user_profile (user_id),
  event text not null,
  channel text not null check (channel in ('in_app', 'email', 'webhook')),
  enabled boolean not null,
  primary key (user_id, event, channel)
);
comment on table data.notification_preference is 'Where a user wants another channel than the default for an event.';
comment on column data.notification_preference.user_id is 'Whose choice it is.';
comment on column data.notification_preference.event is 'The event, such as account.overdue.';
comment on column data.notification_preference.channel is 'in_app, email or webhook.';
comment on column data.notification_preference.enabled is 'Whether the event is told through the channel.';

create table data.webhook_endpoint (
  id uuid primary key default uuidv7(),
  user_id uuid not null references data.user_profile (user_id),
  url text not null,
  events text[],
  description text,
  encrypted_secret bytea not null,
  encrypted_previous_secret bytea,
  previous_secret_expires_at timestamptz,
  is_active boolean not null default true,
  disabled_at timestamptz,
  disabled_reason text,
  created_at timestamptz not null default now(),
  check ((encrypted_previous_secret is null) = (previous_secret_expires_at is null))
);
create index webhook_endpoint_user_id_idx on data.webhook_endpoint (user_id);
comment on table data.webhook_endpoint is 'Addresses that users want their notifications posted to.';
comment on column data.webhook_endpoint.id is 'The endpoint''s id.';
comment on column data.webhook_endpoint.user_id is 'Whose notifications are posted.';
comment on column data.webhook_endpoint.url is 'Where to.';
comment on column data.webhook_endpoint.events is 'Events that are posted. Null: all.';
comment on column data.webhook_endpoint.description is 'What it is for, for people.';
comment on column data.webhook_endpoint.encrypted_secret is 'The secret that requests are signed with, encrypted under the master key.';
comment on column data.webhook_endpoint.encrypted_previous_secret is 'After a rotation: the secret before it, encrypted under the master key.';
comment on column data.webhook_endpoint.previous_secret_expires_at is 'Until when requests are signed with the secret before the rotation as well.';
comment on column data.webhook_endpoint.is_active is 'Whether notifications are posted.';
comment on column data.webhook_endpoint.disabled_at is 'When the platform gave the endpoint up. Null: it has not.';
comment on column data.webhook_endpoint.disabled_reason is 'Why.';
comment on column data.webhook_endpoint.created_at is 'When it was made.';

create table data.webhook_delivery (
  id uuid primary key default uuidv7(),
  endpoint_id uuid not null references data.webhook_endpoint (id) on delete cascade,
  user_id uuid not null references data.user_profile (user_id),
  notification_id uuid references data.notification (id) on delete set null,
  event text not null,
  payload jsonb not null,
  event_at timestamptz not null,
  status text not null default 'pending' check (status in ('pending', 'delivered', 'failed', 'canceled')),
  attempts integer not null default 0,
  response_status integer,
  error text,
  latency_ms integer,
  created_at timestamptz not null default now(),
  last_attempt_at timestamptz,
  unique (notification_id, endpoint_id)
);
create index webhook_delivery_endpoint_id_idx on data.webhook_delivery (endpoint_id, created_at desc);
create index webhook_delivery_user_id_idx on data.webhook_delivery (user_id, created_at desc);
create index webhook_delivery_created_at_idx on data.webhook_delivery (created_at);
comment on table data.webhook_delivery is 'Notifications posted, or to be posted, to a webhook endpoint.';
comment on column data.webhook_delivery.id is 'The delivery''s id: the webhook-id of all its attempts.';
comment on column data.webhook_delivery.endpoint_id is 'Where it goes.';
comment on column data.webhook_delivery.user_id is 'Whose endpoint that is.';
comment on column data.webhook_delivery.notification_id is 'What it tells. Null for a test delivery.';
comment on column data.webhook_delivery.event is 'The event, such as account.overdue.';
comment on column data.webhook_delivery.payload is 'The facts of the event. Money as strings.';
comment on column data.webhook_delivery.event_at is 'When it happened.';
comment on column data.webhook_delivery.status is 'pending (also between attempts), delivered, failed (given up) or canceled (the endpoint was disabled).';
comment on column data.webhook_delivery.attempts is 'How many attempts have ended.';
comment on column data.webhook_delivery.response_status is 'HTTP status of the last answer. Null: there was none.';
comment on column data.webhook_delivery.error is 'What was wrong with the last attempt.';
comment on column data.webhook_delivery.latency_ms is 'How long the last attempt took, in milliseconds.';
comment on column data.webhook_delivery.created_at is 'When it was queued.';
comment on column data.webhook_delivery.last_attempt_at is 'When the last attempt ended.';

alter table data.notification_preference enable row level security;
alter table data.notification_preference force row level security;
alter table data.webhook_endpoint enable row level security;
alter table data.webhook_endpoint force row level security;
alter table data.webhook_delivery enable row level security;
alter table data.webhook_delivery force row level security;

alter table data.setting no force row level security;
insert into data.setting (name, value, description) values
  ('app_url', '""', 'Base URL of the web front end that links in mails lead to. Empty: there is none, and mails give the token itself.'),
  ('default_language', '"en"', 'Language of mails to users who have chosen none: en or zh.'),
  ('allow_private_webhooks', 'false', 'Whether webhooks may go to private and loopback addresses and without TLS: for development.'),
  ('webhook_retention_days', '30', 'How long a webhook delivery is listed, in days.'),
  ('key_expiry_notice_days', '7', 'How long before its expiry the user of a virtual key is told, in days.'),
  ('run_out_notice_days', '3', 'A user is told when the balance is projected to last less than this, in days.'),
  ('run_out_spend_days', '7', 'How many past days of spending the projection goes by, in days.');
alter table data.setting force row level security;
reset role;

-- migrate:down
drop table data.webhook_delivery, data.webhook_endpoint, data.notification_preference;
alter table data.virtual_key drop column expiry_noticed;
alter table data.user_profile drop column language;
alter table data.notification drop column in_app, drop column emailed_at;
delete from data.setting where name in ('app_url', 'default_language', 'allow_private_webhooks', 'webhook_retention_days',
  'key_expiry_notice_days', 'run_out_notice_days', 'run_out_spend_days');
