create or replace function app.price_lines(rates jsonb, usage jsonb)
returns table (rate_id uuid, min_input_tokens bigint, currency text, exchange_rate numeric, unit text, quantity numeric, rate numeric,
  per integer, cost numeric, is_substituted boolean)
language sql immutable
set search_path = ''
as $$
  with used as (
    select coalesce(u.input_tokens, 0) as input_tokens, coalesce(u.cached_input_tokens, 0) as cached_input_tokens,
      coalesce(u.cache_write_tokens, 0) as cache_write_tokens, coalesce(u.cache_write_1h_tokens, 0) as cache_write_1h_tokens,
      coalesce(u.audio_input_tokens, 0) as audio_input_tokens, coalesce(u.image_input_tokens, 0) as image_input_tokens,
      coalesce(u.output_tokens, 0) as output_tokens, coalesce(u.audio_output_tokens, 0) as audio_output_tokens,
      coalesce(u.image_output_tokens, 0) as image_output_tokens, coalesce(u.images, 0) as images, u.image_size, u.image_quality,
      coalesce(u.characters, 0) as characters, coalesce(u.seconds, 0) as seconds
    from jsonb_to_record(usage) as u (input_tokens numeric, cached_input_tokens numeric, cache_write_tokens numeric,
      cache_write_1h_tokens numeric, audio_input_tokens numeric, image_input_tokens numeric, output_tokens numeric,
      audio_output_tokens numeric, image_output_tokens numeric, images numeric, image_size text, image_quality text,
      characters numeric, seconds numeric)
  ), tier as (
    select t.*
    from used, jsonb_to_recordset(rates) as t (rate_id uuid, min_input_tokens bigint, input_rate numeric, cached_input_rate numeric,
      cache_write_rate numeric, cache_write_1h_rate numeric, audio_input_rate numeric, image_input_rate numeric, output_rate numeric,
      audio_output_rate numeric, image_output_rate numeric, request_rate numeric, character_rate numeric, second_rate numeric,
      image_rates jsonb, currency text, exchange_rate numeric)
    where t.min_input_tokens <= used.input_tokens
    order by t.min_input_tokens desc
    limit 1
  ), dearer as (
    -- For a unit without a price of its own: the cheapest of the tier's token prices that is dearer than plain input or output.
    select
      coalesce((select min(r) from unnest(token_rates) as r where r > tier.input_rate), tier.input_rate) as than_input,
      coalesce((select min(r) from unnest(token_rates) as r where r > coalesce(tier.cache_write_rate, tier.input_rate)),
        tier.cache_write_rate, tier.input_rate) as than_cache_write,
      coalesce((select min(r) from unnest(token_rates) as r where r > tier.output_rate), tier.output_rate) as than_output
    from tier
    cross join lateral (select array[tier.input_rate, tier.cache_write_rate, tier.cache_write_1h_rate, tier.audio_input_rate,
      tier.image_input_rate, tier.output_rate, tier.audio_output_rate, tier.image_output_rate] as token_rates) t
  ), image as (
    select i.rate, i.is_other
    from tier, used, lateral (
      select (e ->> 'rate')::numeric as rate,
        not coalesce(e ->> 'size' = used.image_size, not e ? 'size')
          or not coalesce(e ->> 'quality' = used.image_quality, not e ? 'quality') as is_other,
        (e ? 'size')::integer + (e ? 'quality')::integer as specificity
      from jsonb_array_elements(tier.image_rates) as e
    ) i
    -- The most specific price that fits; when none does, the dearest.
    order by i.is_other, case when not i.is_other then i.specificity end desc, i.rate desc
    limit 1
  )
  select tier.rate_id, tier.min_input_tokens, tier.currency, tier.exchange_rate, line.unit, line.quantity, line.rate, line.per,
    -- Multiplied, not divided: a quotient of numerics may be rounded before its time, a product never is.
    line.quantity * line.rate * case line.per when 1000000 then 0.000001 else 1 end,
    line.is_substituted
  from used
  cross join tier
  cross join dearer
  left join image on true
  cross join lateral (values
    ('input_tokens', used.input_tokens - used.cached_input_tokens - used.cache_write_tokens - used.audio_input_tokens
      - used.image_input_tokens, tier.input_rate, 1000000, false),
    ('cached_input_tokens', used.cached_input_tokens, coalesce(tier.cached_input_rate, tier.input_rate), 1000000, false),
    ('cache_write_tokens', used.cache_write_tokens - used.cache_write_1h_tokens, coalesce(tier.cache_write_rate, tier.input_rate), 1000000, false),
    ('cache_write_1h_tokens', used.cache_write_1h_tokens, coalesce(tier.cache_write_1h_rate, dearer.than_cache_write), 1000000,
      tier.cache_write_1h_rate is null),
    ('audio_input_tokens', used.audio_input_tokens, coalesce(tier.audio_input_rate, dearer.than_input), 1000000, tier.audio_input_rate is null),
    ('image_input_tokens', used.image_input_tokens, coalesce(tier.image_input_rate, dearer.than_input), 1000000, tier.image_input_rate is null),
    ('output_tokens', used.output_tokens - used.audio_output_tokens - used.image_output_tokens, tier.output_rate, 1000000, false),
    ('audio_output_tokens', used.audio_output_tokens, coalesce(tier.audio_output_rate, dearer.than_output), 1000000, tier.audio_output_rate is null),
    ('image_output_tokens', used.image_output_tokens, coalesce(tier.image_output_rate, dearer.than_output), 1000000, tier.image_output_rate is null),
    -- Images that were reported in tokens are paid for by these.
    ('images', used.images, case when used.image_output_tokens > 0 then 0 else coalesce(image.rate, 0) end, 1,
      used.image_output_tokens = 0 and (image.is_other or image.rate is null and tier.request_rate = 0)),
    ('characters', used.characters, coalesce(tier.character_rate, dearer.than_input), 1000000, tier.character_rate is null),
    -- A second of audio is about ten tokens.
    ('seconds', used.seconds, coalesce(tier.second_rate, 0.00001 * coalesce(tier.audio_input_rate, dearer.than_input)), 1, tier.second_rate is null),
    ('requests', 1, tier.request_rate, 1, false)
  ) as line (unit, quantity, rate, per, is_substituted)
  where line.quantity > 0;
$$;
revoke all on function app.price_lines(jsonb, jsonb) from public;
comment on function app.price_lines(jsonb, jsonb) is
$$The lines of a call's wholesale bill: one per unit used. The one place where usage meets prices.

rates: tiers as app.current_rates gives them; the tier is the highest whose min_input_tokens the whole input reaches.
usage: {input_tokens (of all kinds), cached_input_tokens, cache_write_tokens (of both lengths), cache_write_1h_tokens, audio_input_tokens,
image_input_tokens, output_tokens (of all kinds), audio_output_tokens, image_output_tokens, images, image_size, image_quality,
characters, seconds}; what is absent is 0. Kinds of tokens do not overlap, but for the totals.
Cached input and 5-minute cache writes without a rate cost as input. Any other unit without a rate of its own costs as the nearest dearer kind
of token, and is_substituted says so; seconds count as ten tokens then, an image of another size or quality as the dearest.
cost: exact, in currency, not rounded. rate: for per units.$$;
