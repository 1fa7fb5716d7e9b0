alter table data.payment_event enable row level security;
alter table data.payment_event force row level security;

create policy owner_all on data.payment_event to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.payment_event for select to platform_admin using (true);

grant select on data.payment_event to platform_admin;

create or replace view api.payment_event with (security_invoker = true) as
select id, channel, event_id, type, order_id, outcome, received_at, payment_reference, amount::text as amount, currency
from data.payment_event;
grant select on api.payment_event to platform_admin;

comment on view api.payment_event is 'Notices of the payment channels whose signature was right, for platform admins.';
comment on column api.payment_event.id is 'The entry''s id.';
comment on column api.payment_event.channel is 'The channel that sent it.';
comment on column api.payment_event.event_id is 'The channel''s id of it.';
comment on column api.payment_event.type is 'What the channel calls it.';
comment on column api.payment_event.order_id is 'The order it is about; null when it is about none of ours.';
comment on column api.payment_event.outcome is 'What it led to: booked, failed, expired, ignored, duplicate, waiting, unknown_order, other_payment, currency_mismatch, amount_mismatch, already_paid or account_closed.';
comment on column api.payment_event.received_at is 'When it came.';
comment on column api.payment_event.payment_reference is 'The channel''s name of the payment it is about.';
comment on column api.payment_event.amount is 'Of the payment, refund or dispute, in currency.';
comment on column api.payment_event.currency is 'ISO 4217 code.';
