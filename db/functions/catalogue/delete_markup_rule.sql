create or replace function api.delete_markup_rule(id uuid) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_rule data.markup_rule;
begin
  delete from data.markup_rule r where r.id = delete_markup_rule.id returning r.* into v_rule;
  if not found then
    perform app.raise_error('markup_rule_not_found');
  elsif v_rule.tenant_id is null and v_rule.user_id is null and v_rule.model is null
    and v_rule.valid_from <= app.now()
  then
    perform app.raise_error('default_markup_required');
  end if;
end
$$;
revoke all on function api.delete_markup_rule(uuid) from public;
grant execute on function api.delete_markup_rule(uuid) to platform_admin;
comment on function api.delete_markup_rule(uuid) is
$$Deletes a markup rule: a less specific one takes its place from the next call on.

id: the rule's id. Errors: markup_rule_not_found; default_markup_required for the rule for all.$$;
