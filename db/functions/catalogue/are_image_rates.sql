create or replace function app.are_image_rates(image_rates jsonb) returns boolean
language sql immutable
set search_path = ''
as $$
  select case when jsonb_typeof(image_rates) = 'array' then
    jsonb_array_length(image_rates) between 1 and 100 and not exists (
      select from jsonb_array_elements(image_rates) as entry
      where case when jsonb_typeof(entry) = 'object' then
          entry - array['size', 'quality', 'rate'] <> '{}'
          or jsonb_typeof(entry -> 'size') <> 'string'
          or jsonb_typeof(entry -> 'quality') <> 'string'
          or not coalesce(pg_input_is_valid(entry ->> 'rate', 'numeric'), false)
          or not app.is_decimal(case when pg_input_is_valid(entry ->> 'rate', 'numeric') then (entry ->> 'rate')::numeric end)
        else true end)
    else false end;
$$;
revoke all on function app.are_image_rates(jsonb) from public;
comment on function app.are_image_rates(jsonb) is
$$Whether this is a list of prices of images: [{"size": "1024x1024", "quality": "hd", "rate": "0.08"}], size and quality optional.$$;
