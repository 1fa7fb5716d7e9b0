create or replace function app.refuse_view_change() returns trigger
language plpgsql volatile
set search_path = ''
as $$
begin
  raise exception '% only shows', tg_table_name using errcode = 'insufficient_privilege';
end
$$;
revoke all on function app.refuse_view_change() from public;
comment on function app.refuse_view_change() is
$$Trigger for views over several tables, which nobody may change: so that whoever tries is told that, not that PostgreSQL would not know how.$$;
