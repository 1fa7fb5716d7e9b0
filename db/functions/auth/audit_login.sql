create or replace trigger _900_audit after update of role on auth.login
  for each row execute function app.audit_change('id');
