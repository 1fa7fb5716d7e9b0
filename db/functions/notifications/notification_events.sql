create or replace function app.notification_events()
returns table (event text, audience text, in_app boolean, email boolean, webhook boolean)
language sql immutable parallel safe
set search_path = ''
as $$
  values
    ('account.welcome',           'user',           true, true,  true),
    ('account.active',            'user',           true, true,  true),
    ('account.low_balance',       'user',           true, true,  true),
    ('account.running_out',       'user',           true, true,  true),
    ('account.overdue',           'user',           true, true,  true),
    ('account.reactivated',       'user',           true, true,  true),
    ('account.pending',           'user',           true, false, true),
    ('account.suspended',         'user',           true, true,  true),
    ('account.closed',            'user',           true, false, false),
    ('payment.received',          'user',           true, true,  true),
    ('payment.refunded',          'user',           true, true,  true),
    ('payment.disputed',          'user',           true, true,  true),
    ('payment.dispute_won',       'user',           true, true,  true),
    ('price.rise',                'user',           true, true,  true),
    ('key.created',               'user',           true, false, true),
    ('key.rotated',               'user',           true, false, true),
    ('key.expiring',              'user',           true, true,  true),
    ('key.budget_warning',        'user',           true, true,  true),
    ('key.budget_exhausted',      'user',           true, true,  true),
    ('webhook.disabled',          'user',           true, true,  false),
    ('reconciliation.difference', 'platform_admin', true, true,  true),
    ('payment.rejected',          'platform_admin', true, true,  true),
    ('provider.failing',          'platform_admin', true, true,  true),
    ('provider.key_refused',      'platform_admin', true, true,  true)
$$;
revoke all on function app.notification_events() from public;
grant execute on function app.notification_events() to customer, tenant_admin, platform_admin;
comment on function app.notification_events() is
$$The events that users are told of: who is (every user, or platform admins), and through which channels unless they choose otherwise.

docs/notifications.md describes them. An event that is not here is told in the application only.$$;
