create or replace function api.withdraw_redemption_batch(id uuid) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_batch data.redemption_batch;
begin
  update data.redemption_batch b
  set withdrawn_at = coalesce(b.withdrawn_at, app.now())
  where b.id = withdraw_redemption_batch.id
  returning b.* into v_batch;
  if not found then
    perform app.raise_error('redemption_batch_not_found');
  end if;
  return json_build_object('id', v_batch.id, 'withdrawn_at', v_batch.withdrawn_at, 'codes', v_batch.codes, 'redeemed', (
    select count(*) from data.redemption_code c where c.batch_id = v_batch.id and c.redeemed_at is not null));
end
$$;
revoke all on function api.withdraw_redemption_batch(uuid) from public;
grant execute on function api.withdraw_redemption_batch(uuid) to platform_admin;
comment on function api.withdraw_redemption_batch(uuid) is
$$Withdraws the codes of a batch that nobody has redeemed yet; again on a withdrawn batch it changes nothing.

Returns {id, withdrawn_at, codes, redeemed}. Errors: redemption_batch_not_found.$$;
