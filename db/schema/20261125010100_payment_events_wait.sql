-- migrate:up
set local role app_owner;

-- What a refund or dispute is about, so that it can be booked later: a channel may report it before its payment.
alter table data.payment_event
  add column effect text,
  add column payment_reference text,
  add column amount numeric(30, 10),
  add column currency text,
  add column effect_reference text,
  add column admins_told_at timestamptz;
create index payment_event_payment_reference_idx on data.payment_event (channel, payment_reference) where payment_reference is not null;
create index payment_event_waiting_idx on data.payment_event (received_at) where outcome = 'waiting';
comment on column data.payment_event.effect is 'What it does: paid, failed, expired, refunded, refunded_in_all, dispute_opened, dispute_won. Null: it is only noted.';
comment on column data.payment_event.payment_reference is 'The channel''s name of the payment it is about.';
comment on column data.payment_event.amount is 'Of the payment, refund or dispute, in currency.';
comment on column data.payment_event.currency is 'ISO 4217 code.';
comment on column data.payment_event.effect_reference is 'The channel''s name of the refund or dispute.';
comment on column data.payment_event.outcome is 'What it led to: booked, ignored, or why it was not booked; waiting for what has to come before it.';
comment on column data.payment_event.admins_told_at is 'When admins were told that it has been waiting for long.';
reset role;

-- migrate:down
drop index data.payment_event_payment_reference_idx, data.payment_event_waiting_idx;
alter table data.payment_event drop column effect, drop column payment_reference, drop column amount, drop column currency,
  drop column effect_reference, drop column admins_told_at;
