create schema "Ä B";
create table "Ä B"."Öl-Tab.x"("Id-ü" int primary key, "Sel ect" bigint not null default 3, "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü" bigint);
create index "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüi" on "Ä B"."Öl-Tab.x"("üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü");
create index "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüj" on "Ä B"."Öl-Tab.x"("Sel ect") where "Sel ect" > 3;
alter table "Ä B"."Öl-Tab.x" add constraint "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüc" check ("üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü" > 0);
