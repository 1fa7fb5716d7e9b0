-- migrate:up
set local role app_owner;

create table data.master_key_proof (
  single boolean primary key default true check (single),
  encrypted_proof bytea not null
);
comment on table data.master_key_proof is 'Tells which master key the stored secrets are encrypted with: what only that one decrypts.';
comment on column data.master_key_proof.single is 'There is one row, from the first secret on.';
comment on column data.master_key_proof.encrypted_proof is 'Anything, encrypted.';
alter table data.master_key_proof enable row level security;
alter table data.master_key_proof force row level security;
reset role;

-- migrate:down
set local role app_owner;
drop table data.master_key_proof;
reset role;
