create or replace function app.anonymise_user(user_id uuid) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  -- The audit log is append-only: what is taken away here must not be copied there.
  perform set_config('app.anonymising', 'on', true);
  update data.user_profile p
  set username = 'closed account', low_balance_threshold = null
  where p.user_id = anonymise_user.user_id;
  update data.virtual_key k
  set name = 'closed', ip_allowlist = null
  where k.user_id = anonymise_user.user_id;
  perform set_config('app.anonymising', '', true);

  delete from data.webhook_delivery d where d.user_id = anonymise_user.user_id;
  delete from data.webhook_endpoint e where e.user_id = anonymise_user.user_id;
  delete from data.notification_preference p where p.user_id = anonymise_user.user_id;
  delete from data.notification n where n.user_id = anonymise_user.user_id;
  delete from data.auto_top_up a where a.user_id = anonymise_user.user_id;
  perform app.anonymise_login(anonymise_user.user_id);
end
$$;
revoke all on function app.anonymise_user(uuid) from public;
comment on function app.anonymise_user(uuid) is
$$Takes what names a person out of a closed account. The books stay: ledger, usage, payments and statements, under the user's id.

docs/privacy.md lists what is taken away and what is kept, and why.$$;
