-- Schema version 5: the views and triggers are made again, as views.sql has them, which follows this.

DROP TRIGGER metrics_insert;
DROP VIEW systems;
DROP VIEW series;
DROP VIEW metrics;
DROP VIEW metrics_by_system;
DROP VIEW history;
DROP VIEW event_log;
DROP VIEW graphs;
DROP VIEW graph_fields;
