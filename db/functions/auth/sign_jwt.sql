create or replace function app.sign_jwt(claims json) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_signed text := app.base64url(convert_to('{"alg":"HS256","typ":"JWT"}', 'UTF8')) || '.'
    || app.base64url(convert_to(sign_jwt.claims::text, 'UTF8'));
begin
  return v_signed || '.' || app.base64url(
    extensions.hmac(convert_to(v_signed, 'UTF8'), convert_to(current_setting('app.settings.jwt_secret'), 'UTF8'), 'sha256'));
end
$$;
revoke all on function app.sign_jwt(json) from public;
comment on function app.sign_jwt(json) is
$$A JSON Web Token over claims, signed with HS256 under the setting app.settings.jwt_secret, which PostgREST verifies it with.$$;
