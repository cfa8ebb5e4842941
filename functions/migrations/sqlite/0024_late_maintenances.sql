-- Slots, from and before, whose results count as in maintenance, whatever their checks were told: it began, or was
-- changed, after they had been asked for.
ALTER TABLE report_series ADD COLUMN maintenance_from INTEGER;
ALTER TABLE report_series ADD COLUMN maintenance_until INTEGER;
