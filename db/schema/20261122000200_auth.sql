-- migrate:up
set local role auth_owner;

create table auth.login (
  id uuid primary key default uuidv7(),
  email extensions.citext not null unique
    check (length(email::text) <= 254 and email::text ~ '^[^[:space:]@<>"]+@[^[:space:]@<>"]+\.[^[:space:]@<>"]+$'),
  hashed_password text,
  role text not null default 'customer' check (role in ('customer', 'tenant_admin', 'platform_admin')),
  created_at timestamptz not null default now(),
  password_changed_at timestamptz
);
comment on table auth.login is 'Who may log in.';
comment on column auth.login.id is 'The user''s id, everywhere.';
comment on column auth.login.email is 'Compared without regard to case.';
comment on column auth.login.hashed_password is 'bcrypt. Null until an invited user has chosen a password.';
comment on column auth.login.role is 'The database role that the user''s requests run under.';
comment on column auth.login.created_at is 'When the login was made.';
comment on column auth.login.password_changed_at is 'When the password was last set by its user.';

create table auth.session (
  id uuid primary key default uuidv7(),
  login_id uuid not null references auth.login (id),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoke_reason text,
  client_ip inet,
  user_agent text
);
create index session_login_id_idx on auth.session (login_id);
create index session_expires_at_idx on auth.session (expires_at);
comment on table auth.session is 'One row per login: the family of its refresh tokens, checked on every request.';

create table auth.refresh_token (
  token_hash bytea primary key,
  session_id uuid not null references auth.session (id) on delete cascade,
  created_at timestamptz not null default now(),
  used_at timestamptz
);
create index refresh_token_session_id_idx on auth.refresh_token (session_id);
comment on table auth.refresh_token is 'Rotating refresh tokens as sha256. A used one that comes back revokes its session.';

create table auth.login_attempt (
  id bigint generated always as identity primary key,
  email extensions.citext not null,
  client_ip inet,
  succeeded boolean not null,
  attempted_at timestamptz not null default now()
);
create index login_attempt_email_idx on auth.login_attempt (email, attempted_at);
create index login_attempt_attempted_at_idx on auth.login_attempt (attempted_at);
comment on table auth.login_attempt is 'Every attempt to log in, known address or not: the basis of the lock-out.';

create table auth.password_token (
  token_hash bytea primary key,
  login_id uuid not null references auth.login (id),
  purpose text not null check (purpose in ('reset', 'invitation')),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz
);
create index password_token_login_id_idx on auth.password_token (login_id);
create index password_token_expires_at_idx on auth.password_token (expires_at);
comment on table auth.password_token is 'One-time tokens, as sha256, that let their holder set a password: forgotten passwords and invitations.';

alter table auth.login enable row level security;
alter table auth.login force row level security;
alter table auth.session enable row level security;
alter table auth.session force row level security;
alter table auth.refresh_token enable row level security;
alter table auth.refresh_token force row level security;
alter table auth.login_attempt enable row level security;
alter table auth.login_attempt force row level security;
alter table auth.password_token enable row level security;
alter table auth.password_token force row level security;

grant references on auth.login to app_owner;
reset role;

-- migrate:down
drop table auth.password_token, auth.login_attempt, auth.refresh_token, auth.session, auth.login cascade;
