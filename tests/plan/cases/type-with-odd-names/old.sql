create schema "Ä B";
create table "Ä B"."Öl-Tab.x"("Id-ü" int primary key, "Sel ect" int not null default 3, "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü" int);
insert into "Ä B"."Öl-Tab.x" values (1,2,3);
create index "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüi" on "Ä B"."Öl-Tab.x"("üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü");
create index "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüj" on "Ä B"."Öl-Tab.x"("Sel ect") where "Sel ect" > 3;
alter table "Ä B"."Öl-Tab.x" add constraint "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüc" check ("üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü" > 0);
