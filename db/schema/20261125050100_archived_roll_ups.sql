-- migrate:up
set local role app_owner;
alter table data.usage_archive add column roll_ups_until timestamptz;
comment on column data.usage_archive.roll_ups_until is 'Roll-ups of before this have calls of archived months alone. Null: not known of any.';

-- It takes a further argument now.
drop function if exists app.add_to_roll_ups(xid8, xid8, timestamptz, timestamptz, boolean, integer);
reset role;

-- migrate:down
drop function if exists app.add_to_roll_ups(xid8, xid8, timestamptz, timestamptz, timestamptz, boolean, integer);
alter table data.usage_archive drop column roll_ups_until;
