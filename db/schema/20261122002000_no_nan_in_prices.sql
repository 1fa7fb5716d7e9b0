-- migrate:up
set local role app_owner;

-- numeric takes NaN, which is greater than every number: a bound from below does not keep it out.
alter table data.provider_rate add constraint provider_rate_not_nan
  check ('NaN' not in (input_rate, output_rate, request_rate, coalesce(cached_input_rate, 0), coalesce(cache_write_rate, 0)));
alter table data.exchange_rate add constraint exchange_rate_not_nan check (rate <> 'NaN');
alter table data.markup_rule add constraint markup_rule_not_nan check (percent <> 'NaN');
alter table data.virtual_key add constraint virtual_key_budget_not_nan check (budget <> 'NaN');
reset role;

-- migrate:down
alter table data.provider_rate drop constraint provider_rate_not_nan;
alter table data.exchange_rate drop constraint exchange_rate_not_nan;
alter table data.markup_rule drop constraint markup_rule_not_nan;
alter table data.virtual_key drop constraint virtual_key_budget_not_nan;
