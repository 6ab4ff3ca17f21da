ALTER TABLE app.orders ADD COLUMN "Zustand" text NOT NULL;
