-- migrate:up
-- PostgREST makes the first line the title of its OpenAPI description, what follows the description.
comment on schema api is $$Neuropia

Resale of AI APIs: what customers, the admins of their tenants and the operators of the platform can do, each as far as the role reaches.
Log in with rpc/login and send the access token as Authorization: Bearer.$$;

-- migrate:down
comment on schema api is 'Neuropia: resale of AI APIs. Everything the platform does for its customers, their admins and its operators.';
