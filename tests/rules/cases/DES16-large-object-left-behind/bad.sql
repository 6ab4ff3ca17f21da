CREATE TABLE articles (id bigint PRIMARY KEY, body oid, "imageData" oid);
