create or replace function app.queue_webhook(delivery_id uuid, endpoint_id uuid, max_attempts integer default app.delivery_attempts()) returns void
language sql volatile
set search_path = ''
as $$
  -- One at a time for an endpoint, so that one which does not answer keeps a single worker waiting.
  select app.queue_job('send_webhook', json_build_object('delivery_id', delivery_id), queue_name => 'webhook ' || endpoint_id,
    max_attempts => max_attempts);
$$;
revoke all on function app.queue_webhook(uuid, uuid, integer) from public;
comment on function app.queue_webhook(uuid, uuid, integer) is
$$Queues a webhook delivery for the worker, in this transaction.$$;
