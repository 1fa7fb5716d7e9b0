-- migrate:up
set local role app_owner;

alter table data.provider add column is_direct boolean not null default false;
comment on column data.provider.is_direct is
  'Whether calls that only this provider can serve go to it without the gateway in between. It speaks OpenAI''s protocol at its base URL.';
alter table data.provider add constraint provider_direct_check
  check (not is_direct or (base_url is not null and portkey_provider in ('openai', 'dashscope')));

drop function if exists api.set_provider(text, text, text[], text, text, boolean);

reset role;

-- migrate:down
set local role app_owner;

drop function if exists api.set_provider(text, text, text[], text, text, boolean, boolean);
alter table data.provider drop column is_direct;

reset role;
