-- migrate:up
-- Every statement here is short; compiling one takes longer than running it.
alter role authenticator set jit = off;
alter role worker set jit = off;

-- migrate:down
alter role authenticator reset jit;
alter role worker reset jit;
