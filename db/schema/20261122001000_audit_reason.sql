-- migrate:up
set local role app_owner;
alter table data.audit_log add column reason text;
reset role;
comment on column data.audit_log.reason is 'Why, where the change asks for a reason.';

-- migrate:down
alter table data.audit_log drop column reason;
