-- pending --top-up--> active --balance <= 0--> overdue --top-up: balance >= threshold--> active
-- any --admin--> suspended --admin--> (what the balance says);  any --admin--> closed (final)
create or replace function app.change_status(user_id uuid, new_status text, reason text) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_profile data.user_profile;
begin
  select p.* into v_profile
  from data.user_profile p
  where p.user_id = change_status.user_id
  for no key update;
  if not found then
    perform app.raise_error('user_not_found');
  end if;
  if v_profile.status = change_status.new_status then
    return;
  end if;
  if v_profile.status = 'closed' or change_status.new_status = 'pending' and v_profile.status <> 'suspended' then
    perform app.raise_error('invalid_status_change');
  end if;

  update data.user_profile p set status = change_status.new_status where p.user_id = change_status.user_id;
  insert into data.status_log (user_id, tenant_id, old_status, new_status, reason, changed_by, created_at)
  values (v_profile.user_id, v_profile.tenant_id, v_profile.status, change_status.new_status, change_status.reason,
    app.current_user_id(), app.now());
  perform app.notify_config_change('user', v_profile.user_id);
  perform app.queue_notification(v_profile.user_id,
    case when change_status.new_status = 'active' and v_profile.status <> 'pending' then 'account.reactivated'
      else 'account.' || change_status.new_status end,
    json_build_object('old_status', v_profile.status, 'new_status', change_status.new_status, 'reason', change_status.reason,
      'balance', v_profile.balance::text));
end
$$;
revoke all on function app.change_status(uuid, text, text) from public;
comment on function app.change_status(uuid, text, text) is
$$Moves an account to another status; the only place where a status changes.

Locks the profile, logs the change, tells the proxies and queues the notification. The same status again changes nothing.
Errors: user_not_found; invalid_status_change for a closed account or a way back to pending.$$;
