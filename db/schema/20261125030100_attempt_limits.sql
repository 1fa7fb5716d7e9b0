-- migrate:up
set local role auth_owner;

alter table auth.login_attempt add column client_network inet;
create index login_attempt_client_network_idx on auth.login_attempt (client_network, attempted_at) where not succeeded;
comment on column auth.login_attempt.client_network is
  'What the attempts of one place are counted by: the IPv4 address, or the /64 of an IPv6 address. Null when the address is not known.';

create table auth.limited_use (
  kind text not null check (kind in ('registration', 'password_reset')),
  subject text not null,
  reference text not null,
  used_at timestamptz not null,
  primary key (kind, subject, reference)
);
create index limited_use_used_at_idx on auth.limited_use (used_at);
comment on table auth.limited_use is 'What may be done only so often within an hour: registrations from a network, reset mails to a login.';

alter table auth.limited_use enable row level security;
alter table auth.limited_use force row level security;
reset role;

set local role app_owner;
-- The owner passes row level security only while it is not forced.
alter table data.setting no force row level security;
insert into data.setting (name, value, description) values
  ('login_account_failure_limit', '50',
    'Failed logins of one e-mail address within the window, from all networks, after which only networks that it has logged in from before may try.'),
  ('login_network_failure_limit', '100',
    'Failed logins from one public network within the window, of all e-mail addresses, after which it may only try those it has logged in before.'),
  ('registration_limit', '20', 'Registrations from one public network within an hour, those of addresses that are taken included.'),
  ('password_reset_limit', '5', 'Password reset mails to one user within an hour.');
update data.setting set description = 'Failed logins of one e-mail address from one network within the window after which that network is locked out.'
where name = 'login_failure_limit';
update data.setting set description = 'The window for the limits of failed logins, in minutes.' where name = 'login_failure_window_minutes';
alter table data.setting force row level security;
reset role;

-- migrate:down
set local role auth_owner;
drop table auth.limited_use;
alter table auth.login_attempt drop column client_network;
reset role;
set local role app_owner;
alter table data.setting no force row level security;
delete from data.setting
where name in ('login_account_failure_limit', 'login_network_failure_limit', 'registration_limit', 'password_reset_limit');
alter table data.setting force row level security;
reset role;
