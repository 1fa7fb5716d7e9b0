create or replace function api.request_password_reset(email text) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  perform app.queue_job(
    'send_password_reset',
    json_build_object('email', app.require_email(request_password_reset.email)),
    'send_password_reset:' || encode(app.hash_key(lower(request_password_reset.email)), 'hex'));
end
$$;
revoke all on function api.request_password_reset(text) from public;
grant execute on function api.request_password_reset(text) to anon, customer, tenant_admin, platform_admin;
comment on function api.request_password_reset(text) is
$$Asks for a password reset token by e-mail. The answer is the same, and takes as long, whether or not the address has a login.

The worker looks the address up and mails a token, good once, for reset_password. Where no mail server is configured an admin issues it
(issue_password_token).
Errors: invalid_email 400.$$;
