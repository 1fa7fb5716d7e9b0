-- migrate:up
-- PostgREST sets these for each request of the role; what logs in by itself gets them when it does.
alter role anon set statement_timeout = '10s';
alter role customer set statement_timeout = '15s';
alter role tenant_admin set statement_timeout = '30s';
alter role platform_admin set statement_timeout = '5min';
alter role gateway set statement_timeout = '30s';
alter role authenticator set idle_in_transaction_session_timeout = '60s';
alter role worker set idle_in_transaction_session_timeout = '5min';
alter role proxy_listener set statement_timeout = '10s';

-- Parameters hold passwords, keys and tokens: a server that logs statements logs them without. Setting this takes a superuser.
do $$
begin
  alter role authenticator set log_parameter_max_length = 0;
  alter role authenticator set log_parameter_max_length_on_error = 0;
  alter role worker set log_parameter_max_length = 0;
  alter role worker set log_parameter_max_length_on_error = 0;
exception when insufficient_privilege then
  raise notice 'no superuser: set log_parameter_max_length = 0 in postgresql.conf';
end
$$;

-- migrate:down
alter role anon reset statement_timeout;
alter role customer reset statement_timeout;
alter role tenant_admin reset statement_timeout;
alter role platform_admin reset statement_timeout;
alter role gateway reset statement_timeout;
alter role authenticator reset idle_in_transaction_session_timeout;
alter role worker reset idle_in_transaction_session_timeout;
alter role proxy_listener reset statement_timeout;
do $$
begin
  alter role authenticator reset log_parameter_max_length;
  alter role authenticator reset log_parameter_max_length_on_error;
  alter role worker reset log_parameter_max_length;
  alter role worker reset log_parameter_max_length_on_error;
exception when insufficient_privilege then
  null;
end
$$;
