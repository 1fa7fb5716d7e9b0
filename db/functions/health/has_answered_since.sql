create or replace function app.has_answered_since(target data.model_target, provider_key_id uuid, moment timestamptz) returns boolean
language sql stable
set search_path = ''
as $$
  select exists (
    select from data.usage_log u
    where u.created_at >= moment
      and u.status in ('ok', 'aborted')
      and case
        when target.id is not null then u.model = target.model and u.provider = target.provider and u.upstream_model = target.upstream_model
        -- Which key answered is in the grant.
        else exists (
          select from data.request_grant g
          where g.id = u.grant_id
            and g.targets @> jsonb_build_array(jsonb_build_object('provider', u.provider, 'upstream_model', u.upstream_model,
              'provider_key_id', has_answered_since.provider_key_id)))
      end);
$$;
revoke all on function app.has_answered_since(data.model_target, uuid, timestamptz) from public;
comment on function app.has_answered_since(data.model_target, uuid, timestamptz) is
$$Whether a target (or, with null for it, a provider key) has answered a call that arrived since a moment.

It reads the usage log from that moment on: for when something has failed, not for every call.$$;
