create or replace function app.require_units(units jsonb) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
  v_units jsonb;
begin
  select jsonb_strip_nulls(jsonb_build_object('images', u.images, 'image_size', u.image_size, 'image_quality', u.image_quality,
      'characters', u.characters, 'seconds', u.seconds))
  into v_units
  from jsonb_to_record(coalesce(require_units.units, '{}')) as u (images integer, image_size text, image_quality text, characters bigint,
    seconds numeric)
  where coalesce(u.images, 0) between 0 and 10000
    and coalesce(u.characters, 0) between 0 and 1000000000
    and coalesce(u.seconds, 0) between 0 and 1000000;
  if not found then
    perform app.raise_error('invalid_request');
  end if;
  return v_units;
exception when invalid_text_representation or numeric_value_out_of_range or invalid_parameter_value or datatype_mismatch then
  perform app.raise_error('invalid_request');
end
$$;
revoke all on function app.require_units(jsonb) from public;
comment on function app.require_units(jsonb) is
$$The units of a call beside tokens, when they are plausible: {images, image_size, image_quality, characters, seconds}.

Errors: invalid_request.$$;
