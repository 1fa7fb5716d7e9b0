create or replace function app.setting_limits()
returns table (name text, kind text, minimum numeric, maximum numeric)
language sql immutable parallel safe
set search_path = ''
as $$
  values
    ('access_token_seconds',         'integer', 60,   86400),
    ('refresh_token_days',           'integer', 1,    365),
    ('login_failure_limit',          'integer', 1,    100),
    ('login_failure_window_minutes', 'integer', 1,    1440),
    ('login_account_failure_limit',  'integer', 1,    10000),
    ('login_network_failure_limit',  'integer', 1,    100000),
    ('registration_limit',           'integer', 1,    100000),
    ('password_reset_limit',         'integer', 1,    1000),
    ('password_reset_minutes',       'integer', 5,    1440),
    ('invitation_days',              'integer', 1,    90),
    ('reactivation_threshold',       'money',   0,    1000000),
    ('estimate_output_tokens_cap',   'integer', 1,    1000000),
    ('request_timeout_ms',           'integer', 1000, 3600000),
    ('grant_margin_seconds',         'integer', 1,    3600),
    ('grant_retention_hours',        'integer', 1,    8760),
    ('notification_retention_days',  'integer', 1,    3650),
    ('webhook_retention_days',       'integer', 1,    3650),
    ('key_expiry_notice_days',       'integer', 1,    365),
    ('run_out_notice_days',          'integer', 1,    365),
    ('run_out_spend_days',           'integer', 1,    90),
    ('allow_private_webhooks',       'boolean', null, null),
    ('app_url',                      'url',     null, null),
    ('default_language',             'language', null, null),
    ('lease_seconds',                'integer', 1,    60),
    ('lease_max_requests',           'integer', 1,    10000),
    ('lease_grace_seconds',          'integer', 0,    3600),
    ('lease_grace_requests',         'integer', 0,    100000),
    ('price_notice_days',            'integer', 0,    365),
    ('provider_failure_threshold',   'integer', 1,    1000),
    ('provider_failure_window_seconds', 'integer', 1, 86400),
    ('provider_cooldown_seconds',    'integer', 1,    3600),
    ('top_up_minimum',               'money',   0,    1000000),
    ('top_up_maximum',               'money',   0,    100000000),
    ('payment_order_minutes',        'integer', 1,    10080),
    ('payment_order_limit',          'integer', 1,    1000),
    ('payment_signature_seconds',    'integer', 10,   3600),
    ('redemption_failure_limit',     'integer', 1,    1000),
    ('redemption_failure_window_minutes', 'integer', 1, 1440),
    ('charge_empty_failures',        'boolean', null, null)
$$;
revoke all on function app.setting_limits() from public;
comment on function app.setting_limits() is
$$What each setting of the platform may be set to: a whole number or an amount of money, from minimum to maximum, true or false, a URL or none, or a
language, en or zh.$$;
