create or replace function app.require_top_up_amount(amount numeric, currency text) returns numeric
language plpgsql stable
set search_path = ''
as $$
declare
  v_minimum constant numeric := app.setting('top_up_minimum')::numeric;
  v_maximum constant numeric := app.setting('top_up_maximum')::numeric;
begin
  if coalesce(amount not between v_minimum and v_maximum, true) or min_scale(amount) > app.currency_decimals(currency) then
    perform app.raise_error('invalid_top_up_amount', format('From %s to %s %s, with at most %s decimals.', v_minimum, v_maximum, currency,
      app.currency_decimals(currency)));
  end if;
  return amount;
end
$$;
revoke all on function app.require_top_up_amount(numeric, text) from public;
comment on function app.require_top_up_amount(numeric, text) is
$$The amount itself when a payment order may have it: settings top_up_minimum and top_up_maximum, whole smallest units of the currency.
Errors: invalid_top_up_amount.$$;
