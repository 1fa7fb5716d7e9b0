create or replace function app.answer_error(code text, headers json default '[]') returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  v_error record;
begin
  select e.http_status, e.message into strict v_error
  from app.error_registry() e
  where e.code = answer_error.code;
  perform set_config('response.status', v_error.http_status::text, true),
    set_config('response.headers', answer_error.headers::text, true);
  return json_build_object('code', answer_error.code, 'message', v_error.message, 'details', null, 'hint', null);
end
$$;
revoke all on function app.answer_error(text, json) from public;
grant execute on function app.answer_error(text, json) to app_owner;
comment on function app.answer_error(text, json) is
$$An error of the registry as an answer, for functions whose writes must survive it: app.raise_error would roll them back.

code: a code of app.error_registry().
headers: response headers as PostgREST takes them, such as [{"Retry-After": "60"}].
Result: the body to return. The HTTP status is set.$$;
