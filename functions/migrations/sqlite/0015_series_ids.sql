-- Ids of series are given by reports/series.rs: again, once their series is deleted.
INSERT INTO report_state (name, value) SELECT 'series_given', COALESCE(MAX(id), 0) FROM report_series;
