create or replace function api.export_my_data() returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_user_id constant uuid := app.current_user_id();
  v_export jsonb := jsonb_build_object('exported_at', app.now(), 'user_id', v_user_id) || app.export_login(v_user_id);
  v_view name;
  v_rows jsonb;
begin
  -- Every view that shows customers rows of their own; one that is added later is in the export as well.
  for v_view in
    select c.relname
    from pg_catalog.pg_class c
    where c.relnamespace = 'api'::regnamespace and c.relkind = 'v' and has_table_privilege('customer', c.oid, 'select')
      and exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = 'user_id' and not a.attisdropped)
    order by c.relname
  loop
    execute format('select coalesce(jsonb_agg(to_jsonb(v)), ''[]'') from api.%I v where v.user_id = $1', v_view) into strict v_rows using v_user_id;
    v_export := v_export || jsonb_build_object(v_view, v_rows);
  end loop;
  return v_export || jsonb_build_object('audit_log', (
    select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'action', a.action, 'subject', a.subject, 'subject_id', a.subject_id,
      'before', a.before, 'after', a.after, 'reason', a.reason, 'client_ip', host(a.client_ip), 'created_at', a.created_at) order by a.id), '[]')
    from data.audit_log a
    where a.actor_id = v_user_id));
end
$$;
revoke all on function api.export_my_data() from public;
grant execute on function api.export_my_data() to customer, tenant_admin, platform_admin;
comment on function api.export_my_data() is
$$Everything that is stored about the caller, as JSON: for the right to a copy of one's data.

Result: {exported_at, user_id, login, sessions, login_attempts, audit_log (what the caller changed)} and an array for every view that shows
users rows of their own, under the view's name and with its columns: user_profile, virtual_key, usage_log, ledger_entry, …$$;
