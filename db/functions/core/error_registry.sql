create or replace function app.error_registry()
returns table (code text, http_status integer, message text)
language sql immutable parallel safe
set search_path = ''
as $$
  values
    -- calls with a virtual key
    ('invalid_api_key',               401, 'The API key is not valid.'),
    ('key_disabled',                  401, 'The API key is disabled.'),
    ('key_expired',                   401, 'The API key has expired.'),
    ('ip_not_allowed',                403, 'The API key may not be used from this address.'),
    ('account_pending',               402, 'The account has not been topped up yet.'),
    ('account_overdue',               402, 'The account is overdue. Top it up to go on.'),
    ('account_suspended',             403, 'The account is suspended.'),
    ('insufficient_balance',          402, 'The balance does not cover this call.'),
    ('key_budget_exceeded',           402, 'The budget of the API key is used up.'),
    ('model_not_found',               404, 'The model does not exist.'),
    ('model_not_allowed',             403, 'The API key may not use this model.'),
    ('endpoint_not_supported',        400, 'The model cannot be called on this endpoint.'),
    ('no_channel',                    503, 'No provider can serve this model at the moment.'),
    ('rate_limit_exceeded',           429, 'The rate limit of the API key is reached.'),
    ('in_flight_budget_exhausted',    429, 'Calls in flight hold what is left of the balance or budget.'),
    -- logging in
    ('invalid_credentials',           401, 'The e-mail address or the password is wrong.'),
    ('login_locked',                  429, 'Too many failed logins. Try again later.'),
    ('invalid_refresh_token',         401, 'The refresh token is not valid.'),
    ('invalid_password_token',        400, 'The token is not valid, has expired or has been used.'),
    ('session_revoked',               401, 'The session has ended. Log in again.'),
    ('not_logged_in',                 401, 'Log in first.'),
    ('wrong_password',                403, 'The current password is wrong.'),
    ('weak_password',                 400, 'The password must have 10 to 72 bytes.'),
    ('invalid_email',                 400, 'The e-mail address is not valid.'),
    ('email_taken',                   409, 'There is already a login with this e-mail address.'),
    ('invalid_name',                  400, 'A name must have 1 to 100 characters and no control characters.'),
    -- tenants and users
    ('not_permitted',                 403, 'The role may not do this.'),
    ('user_not_found',                404, 'The user does not exist.'),
    ('tenant_not_found',              404, 'The tenant does not exist.'),
    ('tenant_not_active',             403, 'The tenant is not active.'),
    ('slug_taken',                    409, 'There is already a tenant with this slug.'),
    ('invalid_slug',                  400, 'A slug has 1 to 63 lower-case letters, digits and inner hyphens.'),
    ('invalid_role',                  400, 'The role must be customer, tenant_admin or platform_admin.'),
    ('invalid_currency',              400, 'The currency must be an ISO 4217 code such as CNY.'),
    ('invalid_credit_policy',         400, 'The credit policy must be default or strict.'),
    ('invalid_status_change',         409, 'The status cannot change like this.'),
    ('balance_not_zero',              409, 'The balance must be zero.'),
    ('invalid_payer',                 400, 'The payer must be another user of the same tenant who pays for itself.'),
    -- virtual keys
    ('key_not_found',                 404, 'The API key does not exist.'),
    ('invalid_rate_limits',           400, 'Rate limits are an object with positive whole numbers for rpm and tpm.'),
    ('invalid_allowed_models',        400, 'The list of models must name 1 to 1000 of them; null allows all.'),
    ('invalid_budget',                400, 'The budget must be a number from 0 on; its period day, week, month or null.'),
    ('invalid_ip_allowlist',          400, 'The address list must hold IP addresses or networks.'),
    ('invalid_expiry',                400, 'The expiry must lie in the future.'),
    ('invalid_overlap',               400, 'The overlap must be 0 to 2592000 seconds.'),
    ('unknown_field',                 400, 'The change names a field that cannot be changed.'),
    -- catalogue
    ('provider_not_found',            404, 'The provider does not exist.'),
    ('provider_key_not_found',        404, 'The provider key does not exist.'),
    ('invalid_provider',              400, 'The provider is not valid.'),
    ('invalid_provider_key',          400, 'The provider key is not valid.'),
    ('invalid_model',                 400, 'The model is not valid.'),
    ('invalid_model_target',          400, 'The model target is not valid.'),
    ('invalid_rate',                  400, 'The rate is not valid.'),
    ('duplicate_rate',                409, 'There is already a rate for this tier from this time on.'),
    ('provider_rate_not_found',       404, 'The rate does not exist.'),
    ('invalid_exchange_rate',         400, 'The exchange rate is not valid.'),
    ('invalid_markup',                400, 'The markup must be -100 to 99999 percent.'),
    ('markup_rule_not_found',         404, 'The markup rule does not exist.'),
    ('default_markup_required',       409, 'The rule for all tenants, users and models can be changed but not deleted.'),
    ('portkey_config_not_found',      404, 'The Portkey config does not exist.'),
    ('invalid_portkey_config',        400, 'The Portkey config may set strategy, retry, request_timeout, override_params and strict_open_ai_compliance.'),
    ('rate_in_force',                 409, 'A rate that has been in force cannot change. Add a new one.'),
    ('setting_not_found',             404, 'The setting does not exist.'),
    ('invalid_setting',               400, 'The value does not fit the setting.'),
    ('master_key_missing',            503, 'The platform has no master key to encrypt with.'),
    ('master_key_mismatch',           503, 'A provider key was encrypted with another master key.'),
    -- money
    ('invalid_amount',                400, 'The amount must be positive and have at most 10 decimals.'),
    ('invalid_reference',             400, 'The reference must have 1 to 200 characters and no control characters.'),
    ('invalid_reason',                400, 'The reason must have 1 to 1000 characters.'),
    ('duplicate_reference',           409, 'The reference has been used already.'),
    ('request_not_found',             404, 'The call does not exist.'),
    ('refund_exceeds_charge',         409, 'The refund is more than what is left of the charge.'),
    ('account_closed',                409, 'The account is closed.'),
    ('invalid_usage_event',           400, 'A usage event is not valid.'),
    ('invalid_request',               400, 'The request is not valid.'),
    ('notification_not_found',        404, 'The notification does not exist.')
$$;
revoke all on function app.error_registry() from public;
grant execute on function app.error_registry() to anon, customer, tenant_admin, platform_admin, gateway, auth_owner, worker;
comment on function app.error_registry() is
$$Every error that the database raises: its code, HTTP status and message. docs/errors.md explains them.$$;
