create or replace function app.claim_password_email(user_id uuid, seed text, keeps_others boolean default false) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_mail json;
  -- Derived, so that a mail that is repeated holds the same token; the master key keeps it secret.
  v_token constant text := encode(extensions.hmac('password token ' || claim_password_email.user_id || ' ' || claim_password_email.seed,
    app.master_key(), 'sha256'), 'hex');
begin
  select json_build_object(
    'to', l.email,
    'username', p.username,
    'language', coalesce(p.language, app.setting('default_language')),
    'app_url', app.setting('app_url')) into v_mail
  from data.user_profile p
  join auth.login l on l.id = p.user_id
  where p.user_id = claim_password_email.user_id and p.status <> 'closed';
  if not found then
    return null;
  elsif not claim_password_email.keeps_others and app.count_use('password_reset', claim_password_email.user_id::text,
    app.setting('password_reset_limit')::integer, claim_password_email.seed) is not null
  then
    return null;
  end if;
  return v_mail::jsonb || app.create_password_token(claim_password_email.user_id, v_token, claim_password_email.keeps_others)::jsonb;
end
$$;
revoke all on function app.claim_password_email(uuid, text, boolean) from public;
grant execute on function app.claim_password_email(uuid, text, boolean) to worker;
comment on function app.claim_password_email(uuid, text, boolean) is
$$What the worker needs to mail a password token: {to, username, language, app_url, token, purpose, expires_at}. Null for a closed account, and for a
user who has asked for password_reset_limit such mails within an hour.

seed: names the mail: for the same one the token is the same. keeps_others: whether other unused tokens stay good.
Needs the master key. Errors: master_key_missing.$$;
