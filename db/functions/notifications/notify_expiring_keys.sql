create or replace function app.notify_expiring_keys() returns integer
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_key record;
  v_told integer := 0;
begin
  for v_key in
    update data.virtual_key k
    set expiry_noticed = k.expires_at
    from (
      select due.id from data.virtual_key due
      where due.is_active and due.deleted_at is null
        and due.expires_at > app.now()
        and due.expires_at <= app.now() + make_interval(days => app.setting('key_expiry_notice_days')::integer)
        and due.expiry_noticed is distinct from due.expires_at
      order by due.id
      for no key update
    ) due
    where k.id = due.id
    returning k.id, k.user_id, k.name, k.key_prefix, k.expires_at
  loop
    perform app.queue_notification(v_key.user_id, 'key.expiring', json_build_object(
      'key_id', v_key.id, 'name', v_key.name, 'key_prefix', v_key.key_prefix, 'expires_at', v_key.expires_at));
    v_told := v_told + 1;
  end loop;
  return v_told;
end
$$;
revoke all on function app.notify_expiring_keys() from public;
grant execute on function app.notify_expiring_keys() to worker;
comment on function app.notify_expiring_keys() is
$$Tells users whose virtual keys expire within key_expiry_notice_days, once for an expiry; the worker runs it every hour.

Returns how many keys.$$;
