CREATE SCHEMA hdms;
COMMENT ON SCHEMA hdms IS 'HDMS: the functions and views that people and programs use';

CREATE SCHEMA hdms_internal;
COMMENT ON SCHEMA hdms_internal IS 'HDMS: its tables, closed to everybody but its functions and its worker';
