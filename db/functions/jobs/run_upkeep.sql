create or replace function app.run_upkeep() returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_request_grants integer;
  v_notifications integer;
  v_webhook_deliveries integer;
begin
  -- The sliding minute of the rate limits counts settled grants too. Those that a settlement has locked wait for the next hour.
  delete from data.request_grant g
  using (
    select held.id from data.request_grant held
    where held.settled_requests = held.requests and held.usable_until < app.now() - interval '2 minutes'
      or held.expires_at < app.now() - make_interval(hours => app.setting('grant_retention_hours')::integer)
    for update skip locked
  ) finished
  where g.id = finished.id;
  get diagnostics v_request_grants = row_count;

  delete from data.notification n
  where n.read_at < app.now() - make_interval(days => app.setting('notification_retention_days')::integer);
  get diagnostics v_notifications = row_count;

  delete from data.webhook_delivery d
  where d.created_at < app.now() - make_interval(days => app.setting('webhook_retention_days')::integer);
  get diagnostics v_webhook_deliveries = row_count;

  return jsonb_build_object('request_grants', v_request_grants, 'notifications', v_notifications,
    'webhook_deliveries', v_webhook_deliveries) || app.run_auth_upkeep();
end
$$;
revoke all on function app.run_upkeep() from public;
grant execute on function app.run_upkeep() to worker;
comment on function app.run_upkeep() is
$$Deletes what has served its time; the worker runs it every hour.

Grants that are settled, or expired for grant_retention_hours; notifications read notification_retention_days ago; webhook
deliveries of webhook_retention_days ago; old sessions, login attempts and password tokens. Result: how many of each: {request_grants, notifications, webhook_deliveries, sessions, login_attempts, password_tokens}.$$;
